"""Turn differences into lessons, anchors and near misses."""
