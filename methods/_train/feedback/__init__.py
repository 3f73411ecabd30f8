"""Labels, revisions and samples that stand in for human feedback."""
