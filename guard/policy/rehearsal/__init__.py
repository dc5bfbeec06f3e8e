"""A policy tried out: hypothetical requests on the road of live ones, cases of them, and why each ends as it does."""
