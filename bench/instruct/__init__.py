"""The language-model study: FedKSeed and MeZO on Natural Instructions."""
