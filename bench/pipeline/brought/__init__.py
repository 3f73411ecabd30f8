"""What people bring to a comparison as arms: checkpoints, adapters and outputs made elsewhere."""
