"""What is measured of arms: stages that write rows, never averages."""
