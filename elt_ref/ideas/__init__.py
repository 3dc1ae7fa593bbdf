"""Ten ideas in files of about ten lines, for ``--idea NAME``; ``docs/ideas.md`` says how to write one."""
