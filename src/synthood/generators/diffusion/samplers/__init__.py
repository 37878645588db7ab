"""Samplers of Stable Diffusion, one class each: settings and which of diffusers' schedulers it is."""
