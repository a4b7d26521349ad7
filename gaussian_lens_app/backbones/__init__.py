"""Feed-forward backbones: photos with cameras in, a scene out, at once."""
