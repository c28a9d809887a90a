"""The layers: see `catgen.flows.layer.Layer`."""
