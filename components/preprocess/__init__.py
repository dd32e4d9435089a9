"""Raw text to examples: vocabulary, token shards, transform graph, statistics."""
