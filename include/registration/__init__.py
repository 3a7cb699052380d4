"""What filing an observation means: the shape of a filing, who may file what, and the verdict on it."""
