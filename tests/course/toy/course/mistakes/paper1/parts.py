MISTAKES = {
    "1.1": [
        ("2 * x", "x * x", "that is the square: twice x is 2 x"),
        ("2 * x", "x.mul_(2)", "x.mul_ changes the caller's tensor: return a new one"),
        ("return 2 * x", "2 * x", "nothing is returned"),
    ],
    "1.2": [
        ("    self.count += 1\n", "", "the call is not counted"),
        ("torch.randn_like(x)", "1", "a constant is no noise"),
        ("x + torch.randn_like(x)", "torch.randn_like(x)", "x itself is missing"),
    ],
    "1.3": [
        ("double(double(x))", "double(x)", "doubled once: the chain doubles twice"),
        ("Noise().add(double(double(x)))", "double(double(x)) + 1", "the noise is a constant"),
        ("Noise().add(double(double(x)))", "None", "nothing is returned"),
    ],
}
