"""Agents and controllers in rooms of a real LiveKit server."""
