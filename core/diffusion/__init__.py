"""The model: from a request to frames. The only rooms that import torch, diffusers and transformers.

device      where it runs, and what a receipt says about that
checkpoint  what a model folder must be before anything in it is loaded
hub         a model folder fetched from the hub, resumable
loader      a model folder becomes a pipeline
noise       a seed becomes noise
embedding   prompts become what the UNet reads
network     the UNet's own layers, without what its library does twice
graphs      its calls recorded on a GPU and replayed
buckets     which recordings are kept
prediction  what the model predicts at a step, in each mode
placement   where the weights are while they work
sampler     noise becomes latents
frames      latents become frames
preview     latents become a small picture, quickly
report      what is said while a video is made
failures    what torch raises becomes a sentence
engine      the whole way, with the model kept warm
"""
