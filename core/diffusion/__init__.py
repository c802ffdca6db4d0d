"""The model: from a recipe to frames. The only rooms that import torch, diffusers and transformers.

engine      the complete way, with a warm model
model       the interface of a loaded model of any family
registry    the module that loads a model of each family; a family is a folder beside it
loader      a model folder becomes a loaded model
hub         a model folder fetched from the hub, resumable
device      the device of the model, and its part of a receipt
capacity    the memory and speed of that device
placement   where the weights are while a part works
noise       a seed becomes noise
prediction  the prediction of a model at a step
sampler     noise becomes latents
loop_state  the loop between two steps, as bytes
frames      latents become frames
preview     latents become a small picture, quickly
report      progress and previews while a video is made
failures    an error of torch becomes a sentence
probe       the findings of torch on this machine, as a command
"""
