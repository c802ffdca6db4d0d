"""The model: from a recipe to frames. The only rooms that import torch, diffusers and transformers.

engine      the complete way, with a warm model
model       what the engine asks of a loaded model, whatever its family
registry    which module loads a model of each family; a family is a folder beside it
loader      a model folder becomes a loaded model
hub         a model folder fetched from the hub, resumable
device      where it runs, and what a receipt records about that
capacity    what that device has to offer
placement   where the weights are while a part works
noise       a seed becomes noise
prediction  what a model predicts at a step
sampler     noise becomes latents
loop_state  the loop between two steps, as bytes
frames      latents become frames
preview     latents become a small picture, quickly
report      progress and previews while a video is made
failures    what torch raises becomes a sentence
probe       what torch finds on this machine, as a command
"""
