"""The guided lesson: its steps and what they compute."""
