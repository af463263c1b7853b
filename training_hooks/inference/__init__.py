"""Using a trained model: latent cache, generation, drafts by MTP, infilling, and probes of long context."""
