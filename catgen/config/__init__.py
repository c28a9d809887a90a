"""From a configuration to objects: the only place where names in a configuration meet factories."""
