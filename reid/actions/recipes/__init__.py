"""What one family of networks does otherwise than another: data, network, losses, and how answers are told."""
