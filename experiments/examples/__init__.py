"""Shows learners of one's own, a page each: a file to start from, with its config beside it."""
