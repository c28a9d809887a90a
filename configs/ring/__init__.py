"""Small experiments on a ring of eight Gaussians, whose entropy is known: 6.3200 nats, 4.5589 bits per value.

  python -m launch.train --config=ring/NAME --workdir=runs/NAME

autoregressive is exact and reaches it, argmax comes near it by a bound. discrete_flow shifts the second coordinate by
an amount that depends on the first, which cannot do better than 6.7033 nats; denoising_flow sorts it, 6.3875 nats;
diffusion is multinomial.
"""
