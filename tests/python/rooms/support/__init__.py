"""What the tests of rooms stand on: a server, rooms on it, and somebody who listens in."""
