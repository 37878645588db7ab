"""What stands between a pretrained backbone's features and the logits."""
