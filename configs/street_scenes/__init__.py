"""Small experiments on maps, for at most about ten minutes on two CPU cores each: the rows of the paper's Table 4.

  python -m launch.train --config=configs/street_scenes/NAME.py --workdir=runs/NAME

multinomial, absorbing: diffusion. argmax_softplus, argmax_gumbel, argmax_gumbel_thresholding, round_uniform,
round_variational: flows with one density, which only differ in how categories become latents. All of them see the same
number of maps.
"""

ROWS = (
  "multinomial",
  "absorbing",
  "argmax_softplus",
  "argmax_gumbel",
  "argmax_gumbel_thresholding",
  "round_uniform",
  "round_variational",
)
