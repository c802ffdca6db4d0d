"""The model: from a request to frames. The only rooms that import torch, diffusers and transformers.

device      where it runs, and what a receipt says about that
checkpoint  what a model folder must be before anything in it is loaded
hub         a model folder fetched from the hub, resumable
loader      a model folder becomes a pipeline
noise       a seed becomes noise
sampler     noise becomes latents
preview     latents become a small picture, quickly
failures    what torch raises becomes a sentence
engine      the whole way, with the model kept warm
"""
