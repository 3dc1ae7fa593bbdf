"""Fresh questions: drawn from the documented domain, answered by the reference, shrunk where a backend fails."""
