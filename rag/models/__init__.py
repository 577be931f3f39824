"""Language models, embedding models, rerankers: names become objects here and nowhere else."""
