"""The page's arithmetic behind Ray Serve: replicas that batch, come and go, and may sit on other machines.

Ray is an extra (requirements-ray.txt) and is imported only where it is used.
"""
