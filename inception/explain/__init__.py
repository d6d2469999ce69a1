"""Why this answer? Explanations that are exact or say what they approximate."""
