"""Feature maps as pictures: colour maps, PNG encoding, frames around cells and receptive fields."""
