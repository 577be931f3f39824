"""Back ends: names from the settings become models here and nowhere else."""
