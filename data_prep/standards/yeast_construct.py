"""The reporter construct of the yeast libraries (de Boer et al., 2020; Vaishnav et al., 2022; DREAM 2022)."""

# The adapters on either side of the 80-bp insert (de Boer et al., Nature Biotechnology 2020).
LEFT_ADAPTER, RIGHT_ADAPTER = "TGCATTTTTTTCACATC", "GGTTACGGCTGTT"
INSERT_BASES = 80
# The plasmid around the adapters (Rafi et al., Nature Biotechnology 2024).
BACKBONE_LEFT, BACKBONE_RIGHT = (
    "AGTGCTAGCAGGAATGATGCAAAAGGTTCCCGATTCGAAC",
    "TCTTAATTAAAAAAAGATAGAAAACATTAGGAGTGTAACA",
)
UNIT = "mean sorting bin, 0..17"
