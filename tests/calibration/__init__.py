"""The error rates of whole families of contrasts under each law of the seeds' variance, simulated."""
