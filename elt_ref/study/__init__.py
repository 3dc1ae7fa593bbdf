"""The paper's claims, small: each repeated over several seeds, judged by a criterion written before the run."""
