"""Finding memories: `arms` propose candidates, `fusion` scores them, `search` puts both together."""
