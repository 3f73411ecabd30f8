"""What all training methods share: settings, data, the one training loop, and the bodies of their stages."""
