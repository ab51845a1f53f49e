"""The vectors of big owners, in memory: `rows` are their columns, `graph` proposes, `index` puts both together."""
