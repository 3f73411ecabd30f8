"""From finished stages to rows."""
