"""What a plan checks of the models that it names, before anything is computed."""
