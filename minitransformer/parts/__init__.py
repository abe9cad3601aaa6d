"""The parts that models are built of: attention, embeddings, blocks, recurrent networks."""
