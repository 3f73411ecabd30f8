"""Tasks and embedded worlds: one file per task; the file name is the task's name in a comparison."""
