"""Small experiments on maps, for about ten minutes on one CPU core each: the rows of the paper's Table 4, and more.

  python -m launch.train --config=street_scenes/NAME --workdir=runs/NAME

multinomial, absorbing: diffusion. argmax_softplus, argmax_gumbel, argmax_gumbel_thresholding, round_uniform,
round_variational: flows with one density, which only differ in how categories become latents; argmax_bits: the same
with bits; vae: the same density of a latent given which pixels are drawn. pixel_cnn, raster_transformer:
autoregressive, exact; denoising_flow: an exact flow of the categories. All of them see the same number of maps.
"""
