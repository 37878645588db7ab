"""Sources of images, one class for each kind and role: settings, raw files, and how they become images."""
