"""BM25: `tokens` turns text into terms, `index` is the derived tantivy index and its score."""
