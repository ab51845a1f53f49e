"""Finding memories: `candidates` and `big` propose, `fusion` scores, `search` puts both together, `hydration` reads what is found."""
