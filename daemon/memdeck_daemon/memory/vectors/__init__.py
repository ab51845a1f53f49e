"""The vectors of big owners, in memory: `rows` are their columns, `lists` of codes propose, `index` puts both together."""
