"""The UNet3D family with torch."""
