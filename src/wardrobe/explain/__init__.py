"""What the layers learnt, attribution, faithfulness of heat maps, label errors."""
