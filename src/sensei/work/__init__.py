"""What all workers share: sessions with a retry budget, chunk boundaries, the executor, fingerprints."""
