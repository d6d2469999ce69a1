"""Server of the stage, the front end at `/stage/`: numbers for it, and its static files."""
