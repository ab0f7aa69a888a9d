"""Where the simulated market comes from: synthetic, Databento DBN, CSV."""
